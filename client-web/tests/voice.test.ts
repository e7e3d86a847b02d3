import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { barsOf, clockOf, levelOf, type Microphone, Recording } from "../src/screens/conversation/voice.svelte";

let now = 0;
let stopped = 0;
let closed = 0;
let answer: (stream: MediaStream) => void;
let refuse: (error: Error) => void;
let recorder: FakeRecorder;

class FakeRecorder {
  state: RecordingState = "inactive";
  mimeType = "audio/webm;codecs=opus";
  sound = "sound";
  ondataavailable: ((event: { data: Blob }) => void) | null = null;
  onstop: (() => void) | null = null;
  onerror: (() => void) | null = null;
  start = (): void => void (this.state = "recording");
  stop = (): void => {
    this.state = "inactive";
    this.ondataavailable?.({ data: new Blob([this.sound]) });
    this.onstop?.();
  };
}

const stream = { getTracks: () => [{ stop: () => (stopped += 1) }] } as unknown as MediaStream;

function recording(longestMs = 2_000, more: Partial<Microphone> = {}): Recording {
  return new Recording(longestMs, {
    type: () => "audio/webm;codecs=opus",
    open: () => new Promise((resolve, reject) => ([answer, refuse] = [resolve, reject])),
    recorder: () => (recorder = new FakeRecorder()) as unknown as MediaRecorder,
    meter: () => ({ level: () => 0.5, close: () => (closed += 1) }),
    ...more,
  }, () => now);
}

async function passes(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
  for (let left = ms; left > 0; left -= 100) {
    now += 100;
    await vi.advanceTimersByTimeAsync(100);
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  [now, stopped, closed] = [0, 0, 0];
});

afterEach(() => vi.useRealTimers());

describe("a voice message", () => {
  test("is recorded from the tap on, and the microphone let go of at its end", async () => {
    const mine = recording();
    void mine.start();
    expect(mine.stage).toBe("asking");
    answer(stream);
    await passes(500);
    expect([mine.stage, mine.ms, mine.levels.length, stopped]).toEqual(["recording", 500, 5, 0]);
    mine.stop();
    await passes(100);
    expect([mine.stage, stopped, closed]).toEqual(["recorded", 1, 1]);
    expect(mine.voice).toEqual({ data: btoa("sound"), type: "audio/webm", size: 5, ms: 500, levels: Array(5).fill(0.5) });
  });

  test("ends by itself when it is as long as it may be", async () => {
    const mine = recording(1_000);
    void mine.start();
    answer(stream);
    await passes(3_000);
    expect([mine.stage, mine.voice?.ms, stopped]).toEqual(["recorded", 1_000, 1]);
  });

  test("keeps what was said until a call took the microphone away", async () => {
    const mine = recording();
    void mine.start();
    answer(stream);
    await passes(300);
    recorder.stop();
    await passes(100);
    expect([mine.stage, mine.voice?.ms]).toEqual(["recorded", 300]);
  });

  test("is forgotten when one leaves, and nothing listens on", async () => {
    const mine = recording();
    void mine.start();
    answer(stream);
    await passes(300);
    mine.leave();
    recorder.stop();
    await passes(100);
    expect([mine.stage, mine.voice, stopped, closed]).toEqual(["ready", null, 1, 1]);
  });

  test("does not begin when one left while the browser was asking", async () => {
    const mine = recording();
    void mine.start();
    mine.leave();
    answer(stream);
    await passes(100);
    expect([mine.stage, stopped]).toEqual(["ready", 1]);
  });

  test.each([
    ["NotAllowedError", "voice.refused"],
    ["NotFoundError", "voice.none"],
    ["NotReadableError", "voice.broken"],
  ])("%s is told kindly, and one can try again", async (name, trouble) => {
    const mine = recording();
    void mine.start();
    refuse(Object.assign(new Error(), { name }));
    await passes(100);
    expect([mine.stage, mine.trouble]).toEqual(["ready", trouble]);
    void mine.start();
    expect([mine.stage, mine.trouble]).toEqual(["asking", null]);
  });

  test("a browser that can't record is not asked for its microphone", async () => {
    const mine = recording(2_000, { type: () => null, open: () => Promise.reject(new Error("asked")) });
    await mine.start();
    expect([mine.stage, mine.trouble]).toEqual(["ready", "voice.unable"]);
  });

  test("an empty recording and a recorder that breaks are told", async () => {
    const mine = recording();
    void mine.start();
    answer(stream);
    await passes(100);
    recorder.sound = "";
    mine.stop();
    await passes(100);
    expect([mine.trouble, stopped]).toEqual(["voice.broken", 1]);
    const broken = recording(2_000, { recorder: () => { throw new Error("no"); } });
    void broken.start();
    answer(stream);
    await passes(100);
    expect([broken.trouble, stopped]).toEqual(["voice.broken", 2]);
  });
});

test("bars are the loudest of their stretch", () => {
  expect(barsOf([0.1, 0.9, 0.2, 0.3], 2)).toEqual([0.9, 0.3]);
  expect(barsOf([0.1], 2)).toEqual([0.1]);
  expect(barsOf(Array(100).fill(0.2), 48)).toHaveLength(48);
});

test("silence is nothing, a shout is all", () => {
  expect(levelOf(new Float32Array(8))).toBe(0);
  expect(levelOf(new Float32Array(8).fill(1))).toBe(1);
  expect(levelOf(new Float32Array(8).fill(0.0316))).toBeCloseTo(0.5, 2);
});

test("a length is read as a clock", () => {
  expect([0, 5_900, 65_000, 600_000].map(clockOf)).toEqual(["0:00", "0:05", "1:05", "10:00"]);
});
