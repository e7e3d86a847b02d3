// A voice message as it is recorded: the microphone is asked for at the tap and let go of at the end.
import type { Voice } from "../../matrix/chat";
import { base64 } from "./picture";

export type VoiceTrouble = "voice.refused" | "voice.none" | "voice.unable" | "voice.broken";

/** What recording needs of the browser; tests bring their own. */
export interface Microphone {
  /** The first type that can be recorded here, null for none. */
  type: () => string | null;
  /** Asks the person; raises as getUserMedia does. */
  open: () => Promise<MediaStream>;
  recorder: (stream: MediaStream, type: string) => MediaRecorder;
  /** How loud it is now, from 0 to 1, until closed. */
  meter: (stream: MediaStream) => { level: () => number; close: () => void };
}

// Opus where there is any. Safari knows its own format alone.
const TYPES = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];
const BITS_PER_SECOND = 24_000;
const EVERY_MS = 100;
const QUIETEST_DB = -60;
/** So many bars are shown of a message. */
export const BARS = 48;

export class Recording {
  stage = $state<"ready" | "asking" | "recording" | "recorded">("ready");
  trouble = $state<VoiceTrouble | null>(null);
  ms = $state(0);
  levels = $state.raw<readonly number[]>([]);
  voice = $state.raw<Voice | null>(null);
  private recorder: MediaRecorder | null = null;
  /** Undoes what is going on; what was asked for before that counts no longer. */
  private end: (() => void) | null = null;
  private turn = 0;

  constructor(
    private readonly longestMs: number,
    private readonly microphone: Microphone = OWN,
    private readonly clock: () => number = () => performance.now(),
  ) {}

  /** Asks for the microphone and records until `stop`, or as long as it may be. */
  async start(): Promise<void> {
    this.leave();
    const { turn } = this;
    const type = this.microphone.type();
    if (type === null) {
      this.trouble = "voice.unable";
      return;
    }
    this.stage = "asking";
    let stream: MediaStream;
    try {
      stream = await this.microphone.open();
    } catch (error) {
      if (turn === this.turn) this.fail(troubleOf(error));
      return;
    }
    // Gone while the browser was asking: nothing listens.
    if (turn !== this.turn) return letGo(stream);
    try {
      this.record(stream, type);
    } catch {
      letGo(stream);
      this.fail("voice.broken");
    }
  }

  stop(): void {
    if (this.recorder?.state === "recording") this.recorder.stop();
  }

  /** Lets go of the microphone and of what was recorded. */
  leave(): void {
    this.turn += 1;
    this.end?.();
    this.recorder = null;
    this.stage = "ready";
    this.trouble = null;
    this.voice = null;
    this.ms = 0;
    this.levels = [];
  }

  private record(stream: MediaStream, type: string): void {
    const { turn } = this;
    const recorder = this.microphone.recorder(stream, type);
    const meter = this.microphone.meter(stream);
    const parts: Blob[] = [];
    const began = this.clock();
    const timer = setInterval(() => {
      this.ms = Math.min(this.longestMs, this.clock() - began);
      this.levels = [...this.levels, meter.level()];
      if (this.ms >= this.longestMs) this.stop();
    }, EVERY_MS);
    this.end = () => {
      this.end = null;
      clearInterval(timer);
      meter.close();
      letGo(stream);
    };
    recorder.ondataavailable = ({ data }) => parts.push(data);
    recorder.onerror = () => turn === this.turn && this.fail("voice.broken");
    // Also when the microphone is pulled out or taken by a call: what was said until then is there.
    recorder.onstop = () => {
      if (turn !== this.turn) return;
      this.ms = Math.min(this.longestMs, this.clock() - began);
      this.end?.();
      void this.keep(new Blob(parts, { type: recorder.mimeType || type }), turn);
    };
    this.recorder = recorder;
    this.stage = "recording";
    recorder.start();
  }

  private async keep(sound: Blob, turn: number): Promise<void> {
    const bytes = new Uint8Array(await sound.arrayBuffer());
    if (turn !== this.turn) return;
    if (bytes.length === 0) {
      this.fail("voice.broken");
      return;
    }
    const type = sound.type.split(";")[0] ?? sound.type;
    const levels = barsOf(this.levels, BARS);
    this.voice = { data: base64(bytes), type, size: bytes.length, ms: Math.round(this.ms), levels };
    this.stage = "recorded";
  }

  private fail(trouble: VoiceTrouble): void {
    this.leave();
    this.trouble = trouble;
  }
}

/** Levels as so many bars: the loudest of each stretch. Fewer levels stay as they are. */
export function barsOf(levels: readonly number[], bars: number): readonly number[] {
  if (levels.length <= bars) return levels;
  return Array.from({ length: bars }, (_, index) => {
    const [from, to] = [index, index + 1].map((edge) => Math.floor((edge * levels.length) / bars));
    return Math.max(...levels.slice(from, to));
  });
}

/** How loud samples are, from 0 to 1, as an ear takes it: silence is 0 and everything below QUIETEST_DB as well. */
export function levelOf(samples: Float32Array): number {
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / Math.max(1, samples.length);
  return Math.min(1, Math.max(0, 1 - (10 * Math.log10(power)) / QUIETEST_DB));
}

/** "1:05" */
export function clockOf(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function troubleOf(error: unknown): VoiceTrouble {
  const { name } = error as { name?: string };
  if (name === "NotAllowedError" || name === "SecurityError") return "voice.refused";
  return name === "NotFoundError" || name === "OverconstrainedError" ? "voice.none" : "voice.broken";
}

function letGo(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}

const OWN: Microphone = {
  type() {
    // Missing on pages without TLS and in old browsers.
    if (typeof MediaRecorder === "undefined" || !(navigator as Partial<Navigator>).mediaDevices) return null;
    return TYPES.find((type) => MediaRecorder.isTypeSupported(type)) ?? null;
  },
  open: () => navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } }),
  recorder: (stream, type) => new MediaRecorder(stream, { mimeType: type, audioBitsPerSecond: BITS_PER_SECOND }),
  meter(stream) {
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    return {
      level() {
        analyser.getFloatTimeDomainData(samples);
        return levelOf(samples);
      },
      close: () => void context.close().catch(() => undefined),
    };
  },
};
