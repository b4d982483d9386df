/** Node's flags in the entrypoint of the image, so that what is measured is what runs. */
export const IMAGE_FLAGS: readonly string[] = ['--max-semi-space-size=2'];
