import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type CipherName, decrypt, encrypt, NONCE_BYTES } from "../../../src/domain/rke/cipher.js";

const hex = (text: string) => Buffer.from(text, "hex");

interface Vector {
  readonly source: string;
  readonly cipher: CipherName;
  readonly key: string;
  readonly nonce: string;
  readonly associatedData?: string;
  readonly plaintext: string;
  /** With GCM, the tag at its end. */
  readonly ciphertext: string;
}

const VECTORS: readonly Vector[] = [
  {
    source:
      "McGrew and Viega, The Galois/Counter Mode of Operation (GCM), appendix B, test case 13",
    cipher: "aes-256-gcm",
    key: "0000000000000000000000000000000000000000000000000000000000000000",
    nonce: "000000000000000000000000",
    plaintext: "",
    ciphertext: "530f8afbc74536b9a963b4f1c4cb738b",
  },
  {
    source: "McGrew and Viega, test case 14",
    cipher: "aes-256-gcm",
    key: "0000000000000000000000000000000000000000000000000000000000000000",
    nonce: "000000000000000000000000",
    plaintext: "00000000000000000000000000000000",
    ciphertext: "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
  },
  {
    source: "McGrew and Viega, test case 16",
    cipher: "aes-256-gcm",
    key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
    nonce: "cafebabefacedbaddecaf888",
    associatedData: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
    plaintext:
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
    ciphertext:
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
  },
  {
    source: "NIST SP 800-38A, F.5.5 and F.5.6, CTR-AES256",
    cipher: "aes-256-ctr",
    key: "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
    nonce: "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
    plaintext:
      "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
    ciphertext:
      "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c52b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6",
  },
  {
    source: "RFC 3686, 6, test vector 7",
    cipher: "aes-256-ctr",
    key: "776beff2851db06f4c8a0542c8696f6c6a81af1eec96b4d37fc1d689e6c1c104",
    nonce: "00000060db5672c97aa8f0b200000001",
    plaintext: "53696e676c6520626c6f636b206d7367",
    ciphertext: "145ad01dbf824ec7560863dc71e3e0c0",
  },
];

for (const { source, cipher, associatedData = "", ...vector } of VECTORS) {
  const parameters = () => ({
    cipher,
    key: hex(vector.key),
    nonce: hex(vector.nonce),
    associatedData: hex(associatedData),
  });

  test(`${cipher} encrypts and decrypts as in ${source}`, () => {
    const encrypted = encrypt(parameters(), hex(vector.plaintext));
    assert.equal(encrypted.toString("hex"), vector.ciphertext);
    const decrypted = decrypt(parameters(), hex(vector.ciphertext));
    assert.equal(decrypted?.toString("hex"), vector.plaintext);
  });
}

const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size });
const parametersOf = (cipher: CipherName) =>
  fc.record({
    cipher: fc.constant(cipher),
    key: bytes(32).map(Buffer.from),
    nonce: bytes(NONCE_BYTES[cipher]),
    associatedData: cipher === "aes-256-gcm" ? fc.uint8Array() : fc.constant(new Uint8Array(0)),
  });

for (const cipher of ["aes-256-gcm", "aes-256-ctr"] as const) {
  test(`whatever ${cipher} encrypts it decrypts, and it leaves its parameters as they are`, () => {
    fc.assert(
      fc.property(parametersOf(cipher), fc.uint8Array(), (parameters, plaintext) => {
        const before = structuredClone(parameters);
        const ciphertext = encrypt(parameters, plaintext);
        assert.equal(ciphertext.length - plaintext.length, cipher === "aes-256-gcm" ? 16 : 0);
        const decrypted = decrypt(parameters, ciphertext) ?? assert.fail();
        assert.deepEqual(Uint8Array.from(decrypted), Uint8Array.from(plaintext));
        assert.deepEqual(
          [parameters.nonce, parameters.associatedData, Uint8Array.from(parameters.key)],
          [before.nonce, before.associatedData, Uint8Array.from(before.key)],
        );
      }),
    );
  });
}

test("what GCM encrypted is not decrypted if one bit of anything is altered", () => {
  const place = fc.record({
    of: fc.constantFrom("ciphertext", "nonce", "associatedData", "key"),
    bit: fc.nat(),
  });
  fc.assert(
    fc.property(
      parametersOf("aes-256-gcm"),
      fc.uint8Array(),
      place,
      (parameters, plaintext, { of, bit }) => {
        const altered = { ...parameters, ciphertext: encrypt(parameters, plaintext) };
        const bytes = Buffer.from(altered[of]);
        fc.pre(bytes.length > 0);
        const at = bit % (bytes.length * 8);
        bytes[at >> 3] = (bytes[at >> 3] ?? 0) ^ (1 << (at & 7));
        assert.equal(
          decrypt({ ...altered, [of]: bytes }, of === "ciphertext" ? bytes : altered.ciphertext),
          null,
        );
      },
    ),
  );
});
