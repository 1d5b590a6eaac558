// Downloads a repository into the cache as JavaScript's users do, and says where its files are.
//
// node snapshot.mjs REPOSITORY FILE...
import { createRequire } from "node:module";
import { join } from "node:path";

const { snapshotDownload } = createRequire(join(process.cwd(), "/"))("@huggingface/hub");
const [repo, ...files] = process.argv.slice(2);
try {
  const folder = await snapshotDownload({
    repo,
    hubUrl: process.env.HF_ENDPOINT,
    accessToken: process.env.HF_TOKEN,
    cacheDir: join(process.env.HF_HOME, "hub"),
  });
  for (const file of files) console.log(join(folder, file));
} catch (error) {
  console.error(String(error));
  process.exitCode = 1;
}
