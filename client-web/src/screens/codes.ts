// The closed lists of a record 相談記録: what the desk takes, in the order in which it is offered.

export const FIELDS = {
  contact: ["self", "about_child", "emergency", "silent", "abusive", "thanks", "question"],
  visit: ["first", "repeat", "unknown"],
  age: ["to_9", "10_12", "13_15", "16_17", "18_19", "from_20", "unknown"],
  school: ["elementary", "junior_high", "high", "special_needs", "college", "working", "neither", "unknown"],
  gender: ["female", "male", "other", "not_given"],
  topics: [
    "friends", "bullying", "studies", "teachers", "family", "body", "mental", "suicidal", "sexuality", "online", "abuse", "other",
  ],
  risk: ["none", "watch", "high", "urgent"],
  risk_reasons: ["ideation", "plan", "self_harm", "attempt", "violence", "runaway", "alone", "other"],
  attitude: ["calmer", "same", "worse", "unknown"],
  actions: ["listened", "advised", "informed", "safety", "consulted", "emergency"],
  referrals: ["telephone", "interview", "school", "child_centre", "medical", "police", "support"],
  consent: ["not_asked", "given", "refused"],
  outcome: ["settled", "continues", "referred", "broken_off"],
  ended_by: ["agreed", "person", "counsellor", "silence"],
} as const;

type Field = keyof typeof FIELDS;
export type Several = "topics" | "risk_reasons" | "actions" | "referrals";
export type Single = Exclude<Field, Several>;
export type Code<Name extends Field> = (typeof FIELDS)[Name][number];

/** What a record says, without words. `prefecture`: 1 to 47 as in JIS X 0401; `follow_up`: YYYY-MM-DD. */
export type Codes = { [Name in Single]: Code<Name> } & { [Name in Several]: Code<Name>[] } & {
  grade: number | null;
  prefecture: number | null;
  follow_up: string | null;
};

/** What a young person chose on the page while they waited. `grade`: 1 to 6. */
export interface Answers {
  topics: Code<"topics">[];
  school: Exclude<Code<"school">, "unknown"> | null;
  grade: number | null;
}

/** How many grades a school has. */
export const GRADES: Partial<Record<Code<"school">, number>> = {
  elementary: 6, junior_high: 3, high: 4, special_needs: 6, college: 6,
};
export const PREFECTURES = Array.from({ length: 47 }, (_, index) => index + 1);

/** Whether there was counselling; silence and the like need no topic. */
export function formed(codes: Codes): boolean {
  return !["silent", "abusive", "thanks", "question"].includes(codes.contact);
}

/** What the desk would refuse about them: the field at fault, or null. */
export function wrongIn(codes: Codes): "topics" | null {
  return formed(codes) && codes.topics.length === 0 ? "topics" : null;
}

/** The same codes with what does not fit together taken out. */
export function tidy(codes: Codes): Codes {
  const most = GRADES[codes.school] ?? 0;
  return {
    ...codes,
    grade: codes.grade !== null && codes.grade <= most ? codes.grade : null,
    risk_reasons: codes.risk === "none" ? [] : codes.risk_reasons,
    follow_up: codes.follow_up === "" ? null : codes.follow_up,
  };
}
