// Compressed beforehand.
export const packed = true;
