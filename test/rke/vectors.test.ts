import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { deriveKey, deriveShare, expand, KEY_LENGTH } from "../../src/rke/derivation.js";
import {
  makeRequest,
  makeResponse,
  openRequest,
  parseRequest,
  parseResponse,
  type ShareQuery,
  STATUS,
} from "../../src/rke/packet.js";
import { xor } from "../../src/rke/xor.js";
import { hex, VECTORS } from "./vectors.js";

const query: ShareQuery = {
  csId: VECTORS.cs_id,
  keyId: VECTORS.key_set,
  clientSerial: hex(VECTORS.client_serial),
  time: VECTORS.time,
};
const coin = {
  denomination: VECTORS.coin.denomination,
  serialNumber: VECTORS.coin.serial_number,
};

function keyOf(raida: number): Buffer {
  return createHash("sha256").update(hex(VECTORS.coin.ans[raida])).digest();
}

for (const { raida, nonce, request, response_nonce, response } of VECTORS.packets) {
  const header = { raida, coin, nonce: hex(nonce) };
  const share = hex(VECTORS.shares[raida]);

  test(`the request to RAIDA ${raida} is made as its known answer says`, () => {
    assert.equal(makeRequest(header, query, keyOf(raida)).toString("hex"), request);
  });

  test(`the request to RAIDA ${raida} is read as what it was made of`, () => {
    assert.deepEqual(parseRequest(hex(request)), header);
    assert.deepEqual(openRequest(hex(request), keyOf(raida)), query);
  });

  test(`the response of RAIDA ${raida} is made as its known answer says`, () => {
    const made = makeResponse(
      {
        raida,
        status: STATUS.success,
        executionTime: hex(response).readUInt32BE(4),
        coin,
        nonce: hex(response_nonce),
        echo: header.nonce.subarray(22),
      },
      share,
      keyOf(raida),
    );
    assert.equal(made.toString("hex"), response);
  });

  test(`the response of RAIDA ${raida} gives its share`, () => {
    assert.deepEqual(parseResponse(hex(response), header, keyOf(raida)), { share });
  });
}

test("every RAIDA's share follows from its secret and the query", () => {
  const shares = VECTORS.raida_secrets.map((secret) => deriveShare(hex(secret), query, 32));
  assert.deepEqual(
    shares.map((share) => share.toString("hex")),
    VECTORS.shares,
  );
});

for (const { raidas, secret, key } of VECTORS.keys) {
  test(`the key of ${raidas.length} RAIDAs follows from their shares`, () => {
    const combined = xor(raidas.map((raida) => hex(VECTORS.shares[raida])));
    assert.equal(combined.toString("hex"), secret);
    const derived = Buffer.alloc(KEY_LENGTH);
    deriveKey(combined, query, derived);
    assert.equal(derived.toString("hex"), key);
  });
}

// RFC 5869, appendix A, the expanding step of the cases with SHA-256.
for (const [name, prk, info, okm] of [
  [
    "A.1",
    "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
    "f0f1f2f3f4f5f6f7f8f9",
    "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
  ],
  [
    "A.2",
    "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
    "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecf" +
      "d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeef" +
      "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
    "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c" +
      "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71" +
      "cc30c58179ec3e87c14c01d5c1f3434f1d87",
  ],
  [
    "A.3",
    "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
    "",
    "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
  ],
] as const) {
  test(`HKDF-Expand answers as RFC 5869 ${name} says`, () => {
    const output = Buffer.alloc(okm.length / 2);
    expand(hex(prk), hex(info), output);
    assert.equal(output.toString("hex"), okm);
  });
}

test("HKDF-Expand refuses more than 255 blocks", () => {
  assert.throws(() => expand(Buffer.alloc(32), Buffer.alloc(0), Buffer.alloc(8161)), RangeError);
});

test("shares of different lengths are not combined", () => {
  assert.throws(() => xor([Buffer.alloc(32), Buffer.alloc(31)]), RangeError);
});
