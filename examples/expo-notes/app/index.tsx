import { supabase } from "../src/airlock";
import { NoteList } from "../src/NoteList";
import { Button, TextLink } from "../src/ui";

export default function Home() {
  return (
    <NoteList>
      <TextLink href="/orgs">Organisations</TextLink>
      <Button title="Sign out" onPress={() => supabase.auth.signOut()} />
    </NoteList>
  );
}
