import { View } from "react-native";

import { Button, Heading, Line, Screen, styles } from "./ui";

interface VersionProps {
  label: string;
  note: { title: string; body: string };
  onKeep: () => void;
}

/** Somebody else changed the note meanwhile: both versions, and the choice. */
export function Conflict({ mine, theirs }: Record<"mine" | "theirs", Omit<VersionProps, "label">>) {
  return (
    <Screen>
      <Heading>This note was changed elsewhere.</Heading>
      <Line>Choose the version to keep. The other one is lost.</Line>
      <Version label="Your version" {...mine} />
      <Version label="The other version" {...theirs} />
    </Screen>
  );
}

function Version({ label, note, onKeep }: VersionProps) {
  return (
    <View style={styles.card} role="group" aria-label={label}>
      <Line>{label}</Line>
      <Heading>{note.title}</Heading>
      <Line>{note.body}</Line>
      <Button title="Keep this" onPress={onKeep} />
    </View>
  );
}
