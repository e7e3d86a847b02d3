// Disclosures 開示: what was asked, who decides, and who a person is whose life is at risk.
import { DeskError, type Desk, type Disclosure, type Handover, type Identity, type Refusal } from "../../desk/api";
import { reasonOf } from "../trouble";

export type Requests = Pick<
  Desk, "disclosures" | "askForCourt" | "askWho" | "approveDisclosure" | "refuseDisclosure" | "finishDisclosure" | "lookAtIdentity"
>;

/** Whether somebody waits for it, or has still to open it or hand it over. */
export function isOpen({ state }: Disclosure): boolean {
  return state === "asked" || state === "approved" || state === "opened";
}

export class Disclosures {
  /** Null until they were read. */
  list = $state.raw<readonly Disclosure[] | null>(null);
  /** Of whom somebody is looking at now, and which request let them. */
  shown = $state.raw<{ request: Disclosure; identity: Identity } | null>(null);
  working = $state(false);
  trouble = $state<string | null>(null);

  /** Lives at risk, while somebody waits or may look. */
  readonly urgent = $derived(this.list?.filter((each) => each.kind === "life_at_risk" && isOpen(each)) ?? []);
  readonly urgentToDecide = $derived(this.urgent.filter((each) => each.may_decide).length);
  readonly toDecide = $derived(this.list?.filter((each) => each.may_decide).length ?? 0);

  constructor(private readonly desk: Requests) {}

  /** Reads them anew; what fails is tried again by whoever asks next. */
  async read(): Promise<void> {
    try {
      this.list = await this.desk.disclosures();
    } catch (error) {
      if (this.list === null && !(error instanceof DeskError && error.status === 0)) this.trouble = reasonOf(error);
    }
  }

  /** The newest request to see who the person of a case is. */
  ofCase(caseId: string): Disclosure | null {
    return this.list?.find((each) => each.case_id === caseId && each.kind === "life_at_risk") ?? null;
  }

  askForCourt(caseId: string, reference: string, reason: string, sideRoom: boolean): Promise<boolean> {
    return this.act(() => this.desk.askForCourt(caseId, { reference, reason, side_room: sideRoom }));
  }

  askWho(caseId: string, reason: string, hours: number): Promise<boolean> {
    return this.act(() => this.desk.askWho(caseId, { reason, hours }));
  }

  approve(id: string, handover: Handover | null): Promise<boolean> {
    return this.act(() => this.desk.approveDisclosure(id, handover));
  }

  refuse(id: string, refusal: Refusal): Promise<boolean> {
    return this.act(() => this.desk.refuseDisclosure(id, refusal));
  }

  async finish(id: string): Promise<boolean> {
    const done = await this.act(() => this.desk.finishDisclosure(id));
    if (done) this.shown = null;
    return done;
  }

  /** Looks at who somebody is. Each time stands in the audit log. */
  async look(request: Disclosure): Promise<void> {
    await this.act(async () => {
      const identity = await this.desk.lookAtIdentity(request.id);
      this.shown = { request, identity };
      return this.desk.disclosures();
    });
  }

  forget(): void {
    this.list = this.shown = this.trouble = null;
  }

  private async act(work: () => Promise<readonly Disclosure[]>): Promise<boolean> {
    this.working = true;
    this.trouble = null;
    try {
      this.list = await work();
      return true;
    } catch (error) {
      this.trouble = reasonOf(error);
      return false;
    } finally {
      this.working = false;
    }
  }
}
