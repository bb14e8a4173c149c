import { useMutation, useQuery } from "@tanstack/react-query";
import { router, useLocalSearchParams } from "expo-router";
import { useState } from "react";
import { AirlockProblem, type Row as RowOf } from "react-native-airlock";

import { Conflict } from "../../src/Conflict";
import { type Draft, DraftFields } from "../../src/DraftFields";
import { Problem } from "../../src/problem";
import { useNotes } from "../../src/queries";
import { Button, Line, Row, Screen, TextLink } from "../../src/ui";

type Note = RowOf<"notes">;

export default function NoteScreen() {
  const { id, org } = useLocalSearchParams<{ id: string; org?: string }>();
  const { data, error, refetch } = useQuery(useNotes(org).get(id));
  if (data) return <Editor note={data} org={org} />;
  return <Screen>{error ? <Problem error={error} retry={refetch} /> : <Line>Loading…</Line>}</Screen>;
}

/** Edits the note as it was when it was opened; what others have changed since then is a conflict. */
function Editor({ note, org }: { note: Note; org?: string }) {
  const notes = useNotes(org);
  const [base, setBase] = useState(note);
  const [{ title, body }, setDraft] = useState<Draft>(note);
  const patch = useMutation(notes.patch());
  const remove = useMutation(notes.remove());
  const publish = useMutation(notes.publish());
  const unpublish = useMutation(notes.unpublish());
  const { id } = note;

  const take = (row: Note) => {
    setBase(row);
    setDraft(row);
    patch.reset();
  };
  const save = (version: number) => {
    const onError = (error: Error) => {
      // A first try has saved it, and its answer was lost.
      const current = currentOf(error);
      if (current?.title === title.trim() && current.body === body) take(current);
    };
    patch.mutate({ id, changes: { title, body }, ifMatch: version }, { onSuccess: take, onError });
  };

  const saved = title === base.title && body === base.body;
  const current = currentOf(patch.error);
  if (current) {
    const mine = { note: { title, body }, onKeep: () => save(current.version) };
    return <Conflict mine={mine} theirs={{ note: current, onKeep: () => take(current) }} />;
  }
  return (
    <Screen>
      <DraftFields draft={{ title, body }} onChange={setDraft} error={patch.error} />
      <Problem error={patch.error ?? remove.error ?? publish.error ?? unpublish.error} />
      <Button title={saved ? "Saved" : "Save"} busy={patch.isPending} onPress={() => save(base.version)} />
      <Row>
        <Button title="Move to trash" onPress={() => remove.mutate({ id }, { onSuccess: () => router.back() })} />
        <Button title="Publish" onPress={() => publish.mutate({ id }, { onSuccess: setBase })} />
        <Button title="Unpublish" onPress={() => unpublish.mutate({ id }, { onSuccess: setBase })} />
        <TextLink href={{ pathname: "/published/[id]", params: { id } }}>Published page</TextLink>
      </Row>
    </Screen>
  );
}

/** With `version_mismatch`: the note as it is now. */
const currentOf = (error: Error | null) =>
  error instanceof AirlockProblem && error.code === "version_mismatch" ? (error.current as Note | null) : null;
