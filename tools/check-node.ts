// Says in words what would otherwise be an error deep inside: the program runs on Node 24.5 or newer only.

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 24 || (major === 24 && minor < 5)) {
  console.error(
    `This needs Node 24.5 or newer; found ${process.version} (${process.execPath}). On Linux it comes with "npm ci"; ` +
      'elsewhere install it from https://nodejs.org.',
  );
  process.exitCode = 1;
}
