// The few parts that all screens are made of.

import { Link, type LinkProps } from "expo-router";
import type { ReactNode } from "react";
import type { ScrollViewProps, TextInputProps, TextProps } from "react-native";
import { Pressable, ScrollView, StyleSheet, Text, TextInput, View } from "react-native";

export const Screen = (props: ScrollViewProps) => (
  <ScrollView contentContainerStyle={styles.screen} keyboardShouldPersistTaps="handled" {...props} />
);
export const Row = ({ children }: { children: ReactNode }) => <View style={styles.row}>{children}</View>;
export const Heading = ({ children }: { children: ReactNode }) => <Text style={styles.heading}>{children}</Text>;
export const Line = ({ children }: { children: ReactNode }) => <Text style={styles.line}>{children}</Text>;
export const Copyable = (props: TextProps) => <Text selectable style={styles.line} {...props} />;
export const TextLink = (props: LinkProps) => <Link {...props} style={styles.link} />;
export const CardLink = (props: LinkProps) => <Link {...props} style={styles.card} />;

export function Button({ title, onPress, busy = false }: { title: string; onPress: () => unknown; busy?: boolean }) {
  return (
    <Pressable role="button" disabled={busy} onPress={() => void onPress()} style={[styles.button, busy && styles.busy]}>
      <Text style={styles.title}>{title}</Text>
    </Pressable>
  );
}

export function Field({ label, error, ...input }: TextInputProps & { label: string; error?: string }) {
  return (
    <View>
      <Text style={styles.label}>{label}</Text>
      <TextInput aria-label={label} style={[styles.input, input.multiline && styles.tall]} {...input} />
      {error !== undefined && <Text style={styles.error}>{`${label} ${error}.`}</Text>}
    </View>
  );
}

export const styles = StyleSheet.create({
  screen: { padding: 16, gap: 12, width: "100%", maxWidth: 640, alignSelf: "center" },
  row: { flexDirection: "row", flexWrap: "wrap", alignItems: "center", gap: 12 },
  heading: { fontSize: 18, fontWeight: "600" },
  line: { fontSize: 16 },
  link: { fontSize: 16, color: "#1f5eff", paddingVertical: 8 },
  button: { borderRadius: 8, backgroundColor: "#1f5eff", paddingVertical: 10, paddingHorizontal: 14 },
  busy: { opacity: 0.5 },
  title: { fontSize: 16, color: "white", textAlign: "center" },
  label: { fontSize: 14, color: "#555" },
  input: { borderWidth: 1, borderColor: "#bbb", borderRadius: 8, padding: 10, fontSize: 16, backgroundColor: "white" },
  tall: { minHeight: 120, textAlignVertical: "top" },
  error: { fontSize: 14, color: "#8a1c12" },
  problem: { backgroundColor: "#fdecea", borderRadius: 8, padding: 12, gap: 8 },
  banner: { backgroundColor: "#fff4d6", padding: 12, flexDirection: "row", alignItems: "center", gap: 12 },
  card: { backgroundColor: "white", borderRadius: 8, padding: 14, gap: 8, fontSize: 16 },
});
