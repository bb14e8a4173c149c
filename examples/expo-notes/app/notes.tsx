import { useLocalSearchParams } from "expo-router";

import { NoteList } from "../src/NoteList";

/** The notes of an organisation, or a trash. */
export default function Notes() {
  return <NoteList {...useLocalSearchParams<{ org?: string; state?: "deleted" }>()} />;
}
