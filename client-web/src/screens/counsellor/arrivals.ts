// What came anew, of all that the desk and the rooms tell again and again.
import type { OwnCase, Queue } from "../../desk/api";
import type { Message } from "../../matrix/chat";

const SAID: readonly Message["kind"][] = ["text", "picture", "voice", "file", "other"];

export class Arrivals {
  // Null until the desk has told for the first time: what was there then is no news.
  private cases: ReadonlySet<string> | null = null;
  private readonly expected = new Set<string>();
  private readonly heard = new Map<string, number>();

  /** This person has just asked for a case: that it comes to them is no news. */
  expect(caseId: string): void {
    this.expected.add(caseId);
  }

  /** Whether somebody waits, or was handed over, who was not there before. */
  newCase(queue: Queue): boolean {
    const before = this.cases;
    const mine = queue.mine.filter((own) => !own.handing_over && !this.expected.has(own.case_id));
    this.cases = new Set([...queue.waiting, ...queue.mine].map(({ case_id }) => case_id));
    return before !== null && [...queue.waiting, ...mine].some(({ case_id }) => !before.has(case_id));
  }

  /** Whether the young person has said something since the last call; the first one only takes note, and what they said
   * while waiting is no reply, however late it is opened. */
  newReply(own: OwnCase, messages: readonly Message[]): boolean {
    const newest = messages.findLast((message) => message.sender === own.user_id && SAID.includes(message.kind));
    const before = this.heard.get(own.case_id);
    this.heard.set(own.case_id, Math.max(before ?? 0, newest?.at ?? 0));
    return before !== undefined && newest !== undefined && newest.at > Math.max(before, own.accepted_at);
  }
}
