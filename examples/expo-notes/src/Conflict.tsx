import { View } from "react-native";

import type { Draft } from "./DraftFields";
import { Button, Heading, Line, Screen, styles } from "./ui";

/** The note was changed elsewhere meanwhile: both versions, and the choice. */
export function Conflict({ mine, theirs }: Record<"mine" | "theirs", { note: Draft; onKeep: () => void }>) {
  const versions = Object.entries({ "Your version": mine, "The other version": theirs });
  return (
    <Screen>
      <Heading>This note was changed elsewhere.</Heading>
      <Line>Choose the version to keep. The other one is lost.</Line>
      {versions.map(([label, { note, onKeep }]) => (
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
