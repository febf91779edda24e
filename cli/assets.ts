/** Decimals of assets as the api lists them: people read decimals, everything else speaks base units. */
import { type Connection, call } from './client.ts';
import { formatUnits } from './format.ts';

/** Base units as a decimal with its asset id; an asset the api does not list stays in base units and says so. */
export type ShowAmount = (asset: string, units: string) => string;

export async function readAssets(connection: Connection): Promise<ShowAmount> {
  const { assets } = await call<{ assets: { asset: string; decimals: number }[] }>(
    connection,
    'GET',
    '/v1/assets',
  );
  const decimals = new Map(assets.map((entry) => [entry.asset, entry.decimals]));
  return (asset, units) => {
    const known = decimals.get(asset);
    return known === undefined ? `${units} base units` : formatUnits(BigInt(units), known);
  };
}
