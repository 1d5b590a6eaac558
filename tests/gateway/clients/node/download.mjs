// Downloads files of a repository as JavaScript's users do, and says where they are.
//
// node download.mjs REPOSITORY FILE...
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";

// The packages are in the working directory, this file is not.
const { downloadFile } = createRequire(join(process.cwd(), "/"))("@huggingface/hub");
const [repo, ...files] = process.argv.slice(2);
const options = { repo, hubUrl: process.env.HF_ENDPOINT, accessToken: process.env.HF_TOKEN };
try {
  for (const path of files) {
    const blob = await downloadFile({ ...options, path });
    if (blob === null) throw new Error(`${repo} has no ${path}`);
    const file = join(process.env.HF_HOME, basename(path));
    writeFileSync(file, Buffer.from(await blob.arrayBuffer()));
    console.log(file);
  }
} catch (error) {
  console.error(String(error));
  process.exitCode = 1;
}
