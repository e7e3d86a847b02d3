import type { DeskFacts, OwnTexts } from "../../desk/api";

/** What the desk says in its own words. Until it is reached, and where it can't be, the page has words enough. */
class Wording {
  own = $state.raw<OwnTexts>({});
  desk = $state("");

  take({ texts, name }: Pick<DeskFacts, "texts" | "name">): void {
    this.own = texts;
    this.desk = name;
  }
}

export const wording = new Wording();
