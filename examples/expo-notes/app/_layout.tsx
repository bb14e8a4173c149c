import { QueryClientProvider } from "@tanstack/react-query";
import { Stack } from "expo-router";

import { OfflineBanner } from "../src/offline";
import { queryClient } from "../src/queries";
import { useSession } from "../src/session";

export default function Layout() {
  return (
    <QueryClientProvider client={queryClient}>
      <Screens />
      <OfflineBanner />
    </QueryClientProvider>
  );
}

function Screens() {
  const session = useSession();
  // Not known yet: the session is being read from storage.
  if (session === undefined) return null;
  return (
    <Stack>
      <Stack.Protected guard={session === null}>
        <Stack.Screen name="sign-in" options={{ title: "Sign in" }} />
      </Stack.Protected>
      <Stack.Protected guard={session !== null}>
        <Stack.Screen name="index" options={{ title: "Notes" }} />
        <Stack.Screen name="notes" options={{ title: "Notes" }} />
        <Stack.Screen name="note/new" options={{ title: "New note" }} />
        <Stack.Screen name="note/[id]" options={{ title: "Note" }} />
        <Stack.Screen name="orgs/index" options={{ title: "Organisations" }} />
        <Stack.Screen name="orgs/[id]/index" options={{ title: "Organisation" }} />
        <Stack.Screen name="orgs/[id]/invitations" options={{ title: "Invitations" }} />
      </Stack.Protected>
      <Stack.Screen name="published/[id]" options={{ title: "Published note" }} />
    </Stack>
  );
}
