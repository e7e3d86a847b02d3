// What a young person may answer while they wait, in their words.
import { t } from "../../i18n/room";
import { type Answers, FIELDS } from "../codes";

export const NOTHING: Answers = { topics: [], school: null, grade: null };
export const SCHOOLS = FIELDS.school.filter((school) => school !== "unknown");

/** What somebody has said, to be read by themselves; empty for nothing. */
export function told({ topics, school, grade }: Answers): string {
  const words = topics.map((topic) => t(`topic.${topic}`));
  if (school !== null) words.push(t(`school.${school}`) + (grade === null ? "" : " " + t("answers.grade.of", { grade })));
  return words.join(t("answers.and"));
}
