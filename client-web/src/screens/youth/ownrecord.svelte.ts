// What a young person may want done with their own record: how the wish that it is destroyed stands.
import { DeskError, type Deletion, type Desk } from "../../desk/api";

export type OwnRecordTrouble = "kept" | "unreachable" | null;

/** Model of the sheet 記録について. */
export class OwnRecord {
  deletion = $state.raw<Deletion | null>(null);
  asking = $state(false);
  /** Asked once more before anything is set off. */
  sure = $state(false);
  trouble = $state<OwnRecordTrouble>(null);

  constructor(private readonly desk: Pick<Desk, "myDeletion" | "askDeletion" | "takeBackDeletion">) {}

  async look(): Promise<void> {
    await this.act(() => this.desk.myDeletion());
  }

  /** A case that runs is ended by it; the sheet has said so. */
  async ask(): Promise<void> {
    await this.act(() => this.desk.askDeletion(this.deletion?.running ?? false));
    this.sure = false;
    // It may be held since: the answer says why.
    if (this.trouble === "kept") await this.look();
  }

  async takeBack(): Promise<void> {
    await this.act(() => this.desk.takeBackDeletion());
  }

  private async act(work: () => Promise<Deletion>): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    this.trouble = null;
    try {
      this.deletion = await work();
    } catch (error) {
      this.trouble = error instanceof DeskError && error.errcode === "JP_MADOGUCHI_KEPT" ? "kept" : "unreachable";
    } finally {
      this.asking = false;
    }
  }
}
