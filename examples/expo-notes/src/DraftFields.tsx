import { fieldError } from "./problem";
import { Field } from "./ui";

export type Draft = { title: string; body: string };
type Props = { draft: Draft; onChange: (draft: Draft) => void; error: Error | null };

/** The text of a note, with the errors of the last try to save it. */
export function DraftFields({ draft, onChange, error }: Props) {
  const field = (name: keyof Draft) => ({
    ...{ value: draft[name], error: fieldError(error, name) },
    onChangeText: (text: string) => onChange({ ...draft, [name]: text }),
  });
  return [<Field key="title" label="Title" {...field("title")} />, <Field key="body" label="Text" {...field("body")} multiline />];
}
