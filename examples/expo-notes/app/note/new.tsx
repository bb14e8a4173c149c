import { useMutation } from "@tanstack/react-query";
import { router, useLocalSearchParams } from "expo-router";
import { useMemo, useState } from "react";

import { newKey } from "../../src/airlock";
import { fieldError, Problem } from "../../src/problem";
import { useNotes } from "../../src/queries";
import { Button, Field, Screen } from "../../src/ui";

export default function NewNote() {
  const { org } = useLocalSearchParams<{ org?: string }>();
  const [title, setTitle] = useState("");
  const [body, setBody] = useState("");
  // The same for the same draft: pressing Save again after a lost answer makes no second note.
  const idempotencyKey = useMemo(newKey, [title, body]);
  const create = useMutation(useNotes(org).create());
  const save = () => create.mutate({ draft: { title, body }, idempotencyKey }, { onSuccess: () => router.back() });
  return (
    <Screen>
      <Field label="Title" value={title} onChangeText={setTitle} error={fieldError(create.error, "title")} />
      <Field label="Text" value={body} onChangeText={setBody} error={fieldError(create.error, "body")} multiline />
      <Problem error={create.error} retry={save} />
      <Button title="Save" busy={create.isPending} onPress={save} />
    </Screen>
  );
}
