import { test } from "node:test";
import fc from "fast-check";
import { createDatabase } from "../../support/stores/database.js";
import { createFaultyDisk, FAULTS } from "../../support/stores/faulty-disk.js";
import { runs, SHRINKS, withStore } from "../../support/stores/fixture.js";
import { createDriver, plainSteps } from "../suite/lives.js";

const fault = fc.option(fc.constantFrom(...FAULTS), { freq: 2 });
const burst = fc.record({ step: plainSteps, faults: fc.array(fault, { maxLength: 4 }) });

test("over a disk that fails, what is refused changed nothing and all else is as the model says", async () => {
  const bursts = fc.array(burst, { minLength: 1, maxLength: 60, size: "max" });
  const property = fc.asyncProperty(fc.limitShrink(bursts, SHRINKS), async (all) => {
    const disk = createFaultyDisk();
    await withStore(
      () => createDatabase({ openWriter: disk.openWriter }),
      async (opened) => {
        let faults: (typeof all)[number]["faults"] = [];
        const driver = createDriver(opened, () => disk.drain(faults));
        try {
          await driver.setPolicies();
          for (const one of all) {
            faults = one.faults;
            await driver.run(one.step);
          }
          faults = [];
          await driver.useAllTokens();
        } finally {
          await disk.calm();
        }
      },
    );
  });
  await fc.assert(property, { numRuns: runs(25) });
});
