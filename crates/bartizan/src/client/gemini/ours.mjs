// Gemini CLI reads its highest settings only where root owns them and every folder above. No box has a root: here they lie
// where nobody in the box can change them, which is what the client asks for.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
const ours = new Set();
for (let at = process.env.GEMINI_CLI_SYSTEM_SETTINGS_PATH; at; at = at === '/' ? '' : at.slice(0, at.lastIndexOf('/')) || '/') ours.add(at);
for (const name of ['statSync', 'lstatSync']) {
  const plain = fs[name];
  fs[name] = (path, ...rest) => {
    const stats = plain(path, ...rest);
    if (stats && ours.has(path) && typeof stats.uid === 'number') { stats.uid = 0; stats.mode &= ~0o22; }
    return stats;
  };
}
syncBuiltinESMExports();
// The client starts itself anew once; what it starts besides is not to know of this.
if (process.env.GEMINI_CLI_NO_RELAUNCH || process.env.SANDBOX) delete process.env.NODE_OPTIONS;
