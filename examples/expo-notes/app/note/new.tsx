import { useMutation } from "@tanstack/react-query";
import { router, useLocalSearchParams } from "expo-router";
import { useMemo, useState } from "react";

import { newKey } from "../../src/airlock";
import { fieldError, Problem } from "../../src/problem";
import { useNotes } from "../../src/queries";
import { Button, Field, Screen } from "../../src/ui";

export default function NewNote() {
  const { org } = useLocalSearchParams<{ org?: string }>();
  const [draft, setDraft] = useState({ title: "", body: "" });
  // The same for the same draft: pressing Save again after a lost answer makes no second note.
  const idempotencyKey = useMemo(newKey, [draft]);
  const create = useMutation(useNotes(org).create());
  const save = () => create.mutate({ draft, idempotencyKey }, { onSuccess: () => router.back() });
  return (
    <Screen>
      <Field label="Title" value={draft.title} onChangeText={(title) => setDraft({ ...draft, title })} error={fieldError(create.error, "title")} />
      <Field label="Text" value={draft.body} onChangeText={(body) => setDraft({ ...draft, body })} error={fieldError(create.error, "body")} multiline />
      <Problem error={create.error} retry={save} />
      <Button title="Save" busy={create.isPending} onPress={save} />
    </Screen>
  );
}
