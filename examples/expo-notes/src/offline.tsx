import { focusManager, onlineManager, useMutationState, useQueryClient } from "@tanstack/react-query";
import { useSyncExternalStore } from "react";
import { View } from "react-native";
import { AirlockError } from "react-native-airlock";
import { followPhone } from "react-native-airlock/expo";

import { Button, Line, styles } from "./ui";

followPhone({ focusManager, onlineManager });

/** Says that the network is gone and how many changes wait for it; sends again those that failed for it. */
export function OfflineBanner() {
  const client = useQueryClient();
  const online = useSyncExternalStore(onlineManager.subscribe, () => onlineManager.isOnline());
  const waiting = useMutationState({ filters: { status: "pending", predicate: ({ state }) => state.isPaused || state.failureCount > 0 } });
  const failed = useMutationState({
    filters: { status: "error", predicate: ({ state }) => state.error instanceof AirlockError && state.error.retryable },
    select: (mutation) => mutation,
  });
  const unsaved = waiting.length + failed.length;
  if (online && unsaved === 0) return null;

  async function tryAgain() {
    await Promise.allSettled(failed.map((mutation) => mutation.execute(mutation.state.variables)));
    await client.refetchQueries({ type: "active" });
  }
  return (
    <View role="status" style={styles.banner}>
      <Line>{online ? "The server does not answer." : "You are offline."}</Line>
      {unsaved > 0 && <Line>{`Changes that are not saved yet: ${unsaved}`}</Line>}
      {online && failed.length > 0 && <Button title="Try again" onPress={tryAgain} />}
    </View>
  );
}
