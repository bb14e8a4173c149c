import { useQuery } from "@tanstack/react-query";
import { useLocalSearchParams } from "expo-router";

import { airlock } from "../../src/airlock";
import { Problem } from "../../src/problem";
import { Heading, Line, Screen } from "../../src/ui";

/** Everybody with the app may open it, signed in or not. */
export default function Published() {
  const { id } = useLocalSearchParams<{ id: string }>();
  const { data, error, refetch } = useQuery({
    queryKey: ["published", id],
    queryFn: ({ signal }) => airlock.published("notes", id, { signal }),
  });
  if (!data) return <Screen>{error ? <Problem error={error} retry={refetch} /> : <Line>Loading…</Line>}</Screen>;
  return (
    <Screen>
      <Heading>{data.title}</Heading>
      <Line>{data.body}</Line>
    </Screen>
  );
}
