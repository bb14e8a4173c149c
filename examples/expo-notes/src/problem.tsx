// The messages for a person when a call failed, and the remedies.

import { View } from "react-native";
import { AirlockNetworkError, AirlockProblem, AirlockUpgradeRequired, type ProblemCode } from "react-native-airlock";

import { Button, Line, styles } from "./ui";

/** The error of one field, to show below it. */
export const fieldError = (error: Error | null, field: string) =>
  error instanceof AirlockProblem ? error.errors.find(({ pointer }) => pointer === `/${field}`)?.message : undefined;

const MESSAGES: Partial<Record<ProblemCode, string>> = {
  validation_failed: "Please check what you entered.",
  not_found: "It does not exist, or you may not see it.",
  forbidden: "Your role does not allow this.",
  rate_limited: "Too many requests. Please wait a moment.",
};

function messageOf(error: Error): string {
  if (error instanceof AirlockNetworkError) return "The server does not answer. Are you online?";
  if (!(error instanceof AirlockProblem) || error instanceof AirlockUpgradeRequired) return error.message;
  if (error.code === "conflict") return error.detail;
  // The number finds the request in the server's log.
  return MESSAGES[error.code] ?? `Something went wrong (${error.code}). Support needs this number: ${error.request_id}`;
}

export function Problem({ error, retry }: { error: Error | null; retry?: () => unknown }) {
  if (error === null) return null;
  return (
    <View role="alert" style={styles.problem}>
      <Line>{messageOf(error)}</Line>
      {retry && !(error instanceof AirlockProblem && !error.retryable) && <Button title="Try again" onPress={retry} />}
    </View>
  );
}
