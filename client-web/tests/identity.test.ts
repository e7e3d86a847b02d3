import { describe, expect, it } from "vitest";
import { StaffIdentity } from "../src/screens/counsellor/identity.svelte";
import { FakeChat, settled } from "./stand-ins";

const keyOfPassword = async (password: string, userId: string, use: string): Promise<string> =>
  btoa((password + use + userId).padEnd(32).slice(0, 32));

/** A browser, with what lies in it. */
function workplace(kept = new Map<string, string>()) {
  const unwritten: (readonly string[] | null)[] = [];
  const identity = new StaffIdentity({
    local: { load: (name) => kept.get(name) ?? null, save: (name, text) => void kept.set(name, text ?? "") },
    keyOfPassword, phrase: () => import("../src/screens/youth/phrase"), language: () => "ja",
    keepUnwritten: (words) => void unwritten.push(words),
  });
  return { identity, kept, unwritten };
}

function account(identity: FakeChat["identity"], secret: string | null = null): FakeChat {
  return Object.assign(new FakeChat(), { identity, identitySecret: secret });
}

describe("the identity of a member of staff", () => {
  it("is sealed under six words at the first sign-in, and they stay until they are written down", async () => {
    const chat = account("none");
    const { identity, unwritten } = workplace();
    await identity.settle(chat, "password", null);
    expect(identity.unwritten).toHaveLength(6);
    expect(chat.identitySecret).toBe(identity.unwritten?.join(" "));
    expect(identity.renewed).toBe(false);
    identity.written();
    expect(identity.unwritten).toBeNull();
    expect(unwritten.at(-1)).toBeNull();
  });

  it("opens by the password at the same workplace, and by nothing the server knows at another", async () => {
    const chat = account("none");
    const first = workplace();
    await first.identity.settle(chat, "password", null);
    await settled();
    const secret = chat.identitySecret ?? "";
    expect([...first.kept.values()].join()).not.toContain(secret.split(" ")[0]);

    chat.identity = "sealed";
    await workplace(first.kept).identity.settle(chat, "password", null);
    expect(chat.identity).toBe("kept");

    chat.identity = "sealed";
    const second = workplace();
    const opening = second.identity.settle(chat, "password", null);
    await settled();
    second.identity.give("password");
    await settled();
    expect(second.identity.wrong).toBe(true);
    second.identity.give(secret.replaceAll(" ", "、"));
    await opening;
    expect(chat.identity).toBe("kept");
    expect(chat.renewals).toEqual(["password"]);
  });

  it("is made anew only when somebody says so, and the page says what that means", async () => {
    const chat = account("sealed", "six words of before");
    const { identity } = workplace();
    const opening = identity.settle(chat, "password", null);
    await settled();
    expect(chat.renewals).toEqual([]);
    identity.giveUp();
    await opening;
    expect(chat.renewals).toEqual(["password"]);
    expect(identity.renewed).toBe(true);
  });

  it("of an older session is sealed without being changed", async () => {
    const chat = account("here");
    const { identity } = workplace();
    await identity.settle(chat, null, null);
    expect(chat.identitySecret).not.toBeNull();
    expect(chat.renewals).toEqual([]);
  });

  it("waits for nobody once it is signed out", async () => {
    const { identity } = workplace();
    const opening = identity.settle(account("sealed", "x"), null, null);
    const ended = expect(opening).rejects.toThrow();
    await settled();
    identity.giveUp();
    identity.forget();
    await ended;
    expect(identity.asked).toBeNull();
  });
});
