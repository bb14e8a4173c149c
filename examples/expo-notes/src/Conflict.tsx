import { View } from "react-native";

import { Button, Heading, Line, Screen, styles } from "./ui";

type Version = { note: { title: string; body: string }; onKeep: () => void };

/** Somebody else changed the note meanwhile: both versions, and the choice. */
export function Conflict({ mine, theirs }: { mine: Version; theirs: Version }) {
  const versions = [{ label: "Your version", ...mine }, { label: "The other version", ...theirs }];
  return (
    <Screen>
      <Heading>This note was changed elsewhere.</Heading>
      <Line>Choose the version to keep. The other one is lost.</Line>
      {versions.map(({ label, note, onKeep }) => (
        <View key={label} style={styles.card} role="group" aria-label={label}>
          <Line>{label}</Line>
          <Heading>{note.title}</Heading>
          <Line>{note.body}</Line>
          <Button title="Keep this" onPress={onKeep} />
        </View>
      ))}
    </Screen>
  );
}
