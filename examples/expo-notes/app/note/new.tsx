import { useMutation } from "@tanstack/react-query";
import { router, useLocalSearchParams } from "expo-router";
import { useMemo, useState } from "react";

import { newKey } from "../../src/airlock";
import { DraftFields } from "../../src/DraftFields";
import { Problem } from "../../src/problem";
import { useNotes } from "../../src/queries";
import { Button, Screen } from "../../src/ui";

export default function NewNote() {
  const { org } = useLocalSearchParams<{ org?: string }>();
  const [draft, setDraft] = useState({ title: "", body: "" });
  // The same for the same draft: pressing Save again after a lost answer makes no second note.
  const idempotencyKey = useMemo(newKey, [draft]);
  const create = useMutation(useNotes(org).create());
  const save = () => create.mutate({ draft, idempotencyKey }, { onSuccess: () => router.back() });
  return (
    <Screen>
      <DraftFields draft={draft} onChange={setDraft} error={create.error} />
      <Problem error={create.error} retry={save} />
      <Button title="Save" busy={create.isPending} onPress={save} />
    </Screen>
  );
}
