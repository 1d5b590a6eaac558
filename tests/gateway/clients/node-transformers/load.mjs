// Loads a model's configuration and tokenizer as users of transformers.js do.
//
// node load.mjs REPOSITORY [FILE...]
import { createRequire } from "node:module";
import { join } from "node:path";

const { AutoConfig, AutoTokenizer, env } = createRequire(join(process.cwd(), "/"))(
  "@huggingface/transformers",
);
env.remoteHost = process.env.HF_ENDPOINT;
env.cacheDir = join(process.env.HF_HOME, "transformers.js");
const [repository] = process.argv.slice(2);
try {
  await AutoConfig.from_pretrained(repository);
  await AutoTokenizer.from_pretrained(repository);
} catch (error) {
  console.error(String(error));
  process.exitCode = 1;
}
