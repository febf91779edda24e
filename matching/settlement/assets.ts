/** Between the engine's numbers and the ledger's amounts. Pure. */
import { errorsOf } from '#core/errors';
import { type Amount, type AssetId, amount, assetId } from '#core/money';
import type { EngineConfig } from '../config.ts';
import { settlementErrors } from './errors.ts';

const fail = errorsOf(settlementErrors);
/** What an engine's int64 holds of one asset. */
export const engineUnitsMax = 2n ** 62n - 1n;

export interface EngineAsset {
  readonly id: AssetId;
  /** Base units of the ledger in one unit of the engine. */
  readonly unit: bigint;
}
export interface EngineAmount {
  /** Position of the asset in the configuration. */
  readonly asset: number;
  /** Engine units. */
  readonly units: bigint;
}
/** @throws CORE_ASSET_INVALID */
export const engineAssets = ({ assets }: EngineConfig): readonly EngineAsset[] =>
  assets.map(({ id, unitExponent }) => ({ id: assetId(id), unit: 10n ** BigInt(unitExponent) }));

/** @throws RangeError for an asset the configuration does not have: events come from an engine of this configuration */
export function assetOf(assets: readonly EngineAsset[], asset: number): EngineAsset {
  const found = assets[asset];
  if (found === undefined) throw new RangeError(`asset ${asset} of ${assets.length}`);
  return found;
}

export function ledgerAmount(assets: readonly EngineAsset[], asset: number, units: bigint): Amount {
  const { id, unit } = assetOf(assets, asset);
  return amount(id, units * unit);
}

/** @throws MATCHING_AMOUNT_NOT_TRADABLE */
export function engineAmount(assets: readonly EngineAsset[], { asset, units }: Amount): EngineAmount {
  const at = assets.findIndex(({ id }) => id === asset);
  const unit = assets[at]?.unit;
  if (unit === undefined)
    throw fail('MATCHING_AMOUNT_NOT_TRADABLE', `${asset} is not traded here`, { asset });
  const inUnits = units / unit;
  if (units < 1n || inUnits * unit !== units || inUnits > engineUnitsMax)
    throw fail(
      'MATCHING_AMOUNT_NOT_TRADABLE',
      `${units} of ${asset} is not a whole number of ${unit} base units`,
      {
        asset,
        units: units.toString(),
        unit: unit.toString(),
      },
    );
  return { asset: at, units: inUnits };
}
