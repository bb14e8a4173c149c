import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { Text } from "react-native";

import { useNotes } from "./notes";

const client = new QueryClient();

function Notes() {
  const { rows, add, more } = useNotes("user", "");
  return (
    <>
      {rows.map(({ id, title }) => (
        <Text key={id}>{title}</Text>
      ))}
      <Text onPress={() => add("Milk")}>Add</Text>
      <Text onPress={() => more()}>More</Text>
    </>
  );
}

export default function App() {
  return (
    <QueryClientProvider client={client}>
      <Notes />
    </QueryClientProvider>
  );
}
