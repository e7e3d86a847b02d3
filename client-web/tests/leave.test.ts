import { expect, test, vi } from "vitest";
import { onEscapeTwice } from "../src/screens/youth/leave";

function press(target: EventTarget, at: number): void {
  const event = new Event("keydown");
  Object.defineProperties(event, {
    key: { value: "Escape" },
    timeStamp: { value: at },
  });
  target.dispatchEvent(event);
}

test("one Esc right after loading does not leave, two within a second do", () => {
  const target = new EventTarget();
  vi.stubGlobal("window", target);
  const leave = vi.fn();
  onEscapeTwice(leave);
  press(target, 300);
  expect(leave).not.toHaveBeenCalled();
  press(target, 1_400);
  expect(leave).not.toHaveBeenCalled();
  press(target, 1_900);
  expect(leave).toHaveBeenCalledOnce();
  vi.unstubAllGlobals();
});
