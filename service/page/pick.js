// Files that are dropped, those in folders too.
const AUDIO = /[.](wav|flac|ogg|oga|opus|mp3|aif|aiff|aifc|m4a|mp4|aac)$/i; // of a folder only these, as the shell has it

// Returns pairs of a name and a file; a file that cannot be read is left out.
export async function dropped(transfer) {
  const entries = [...transfer.items].filter((i) => i.kind === "file").map((i) => [i.webkitGetAsEntry?.(), i.getAsFile()]);
  const found = []; // the entries are taken before anything is waited for: the browser forgets them then
  for (const [entry, file] of entries) {
    if (entry?.isDirectory) found.push(...(await inside(entry)));
    else if (file) found.push([file.name, file]);
  }
  return found;
}
async function inside(folder) {
  const reader = folder.createReader(), entries = [], found = [];
  for (let some; (some = await new Promise((done) => reader.readEntries(done, () => done([])))).length; ) entries.push(...some);
  for (const entry of entries.sort((a, b) => a.name.localeCompare(b.name))) {
    if (entry.isDirectory) found.push(...(await inside(entry)));
    else if (AUDIO.test(entry.name)) {
      const file = await new Promise((done) => entry.file(done, () => done(null)));
      if (file) found.push([entry.fullPath.slice(1), file]);
    }
  }
  return found;
}
