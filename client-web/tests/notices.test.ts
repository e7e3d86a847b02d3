import { beforeEach, describe, expect, test, vi } from "vitest";
import { Notices } from "../src/screens/youth/notices.svelte";
import { fakeDesk } from "./stand-ins";

const OURS = { endpoint: "https://push.example/1", p256dh: "p", auth: "a", expires_at: null };
type Browser = ConstructorParameters<typeof Notices>[1] & { bound: string | null };

let browser: Browser;

beforeEach(() => {
  browser = {
    bound: null,
    canTell: true,
    mayTell: vi.fn(async () => true),
    isTold: vi.fn(async () => browser.bound !== null),
    subscribe: vi.fn(async (key) => {
      browser.bound = key;
      return OURS;
    }),
    unsubscribe: vi.fn(async () => {
      browser.bound = null;
    }),
  };
});

const desk = (status = 200) =>
  fakeDesk({
    "PUT /push_subscription": { status, body: {} },
    "DELETE /push_subscription": { body: {} },
  });

describe("somebody who wants notices", () => {
  test("is told, and until then nobody is asked anything", async () => {
    const at = desk();
    const notices = new Notices(at, browser);
    expect(browser.mayTell).not.toHaveBeenCalled();
    await notices.want("key");
    expect([notices.on, notices.trouble, browser.bound]).toEqual([true, null, "key"]);
    expect(at.asked).toEqual(["PUT /push_subscription"]);
    await notices.stop();
    expect([notices.on, browser.bound]).toEqual([false, null]);
    expect(at.asked).toEqual(["PUT /push_subscription", "DELETE /push_subscription"]);
  });

  test("learns why it does not work, and nothing stays in the browser", async () => {
    browser.mayTell = async () => false;
    const denied = new Notices(desk(), browser);
    await denied.want("key");
    expect([denied.on, denied.trouble, browser.bound]).toEqual([false, "denied", null]);

    browser.mayTell = async () => true;
    for (const [status, trouble] of [[403, "unnamed"], [409, "failed"], [500, "failed"]] as const) {
      const notices = new Notices(desk(status), browser);
      await notices.want("key");
      expect([notices.on, notices.trouble, browser.bound]).toEqual([false, trouble, null]);
    }
    browser.subscribe = async () => {
      throw new DOMException("No service.", "AbortError");
    };
    const failed = new Notices(desk(), browser);
    await failed.want("key");
    expect([failed.on, failed.trouble, failed.asking]).toEqual([false, "failed", false]);
  });
});

describe("at the beginning of a visit", () => {
  test.each([
    ["goes on", "key", true, 200, true],
    ["goes on with the desk's new key", "other", true, 200, true],
    ["ends where the desk has no notices", null, true, 200, false],
    ["ends where nobody is remembered", "key", false, 200, false],
    ["ends where the case has ended", "key", true, 409, false],
    ["ends where the browser's service is named no more", "key", true, 403, false],
  ] as const)("it %s", async (_what, key, wanted, status, on) => {
    browser.bound = "key";
    const notices = new Notices(desk(status), browser);
    await notices.recall(key, wanted);
    expect([notices.on, browser.bound]).toEqual([on, on ? key : null]);
  });

  test("a desk that is out of reach changes nothing, and nobody is subscribed unasked", async () => {
    browser.bound = "key";
    await new Notices(desk(503), browser).recall("key", true);
    expect(browser.bound).toBe("key");
    browser.bound = null;
    const at = desk();
    await new Notices(at, browser).recall("key", true);
    expect([browser.bound, at.asked]).toEqual([null, []]);
    expect(browser.mayTell).not.toHaveBeenCalled();
  });
});
