import { useMutation } from "@tanstack/react-query";
import { useState } from "react";

import { supabase } from "../src/airlock";
import { Problem } from "../src/problem";
import { Button, Field, Screen } from "../src/ui";

export default function SignIn() {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const signIn = useMutation({
    mutationFn: async () => {
      const { error } = await supabase.auth.signInWithPassword({ email, password });
      if (error) throw error;
    },
  });
  return (
    <Screen>
      <Field label="Email" value={email} onChangeText={setEmail} autoCapitalize="none" inputMode="email" autoComplete="email" />
      <Field label="Password" value={password} onChangeText={setPassword} secureTextEntry autoComplete="current-password" />
      <Problem error={signIn.error} />
      <Button title="Sign in" busy={signIn.isPending} onPress={() => signIn.mutate()} />
    </Screen>
  );
}
