// Numbers and days as the reader's own language writes them.

const locale = navigator.languages?.length ? [...navigator.languages] : undefined;
const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const share = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 });
const inUnit = (unit, digits) =>
  new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "narrow", maximumFractionDigits: digits });
const units = { ms: inUnit("millisecond", 0), s: inUnit("second", 1), min: inUnit("minute", 0), rest: inUnit("second", 0) };

// Cents from a dollar up, else two significant digits, as the server writes them.
function dollars(amount) {
  const places = amount === 0 ? 2 : Math.min(20, Math.max(2, 1 - Math.floor(Math.log10(Math.abs(amount)))));
  const style = { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol" };
  if (amount > 0 && amount < 1e-6) return "<" + new Intl.NumberFormat(locale, { ...style, minimumFractionDigits: 6 }).format(1e-6);
  return new Intl.NumberFormat(locale, { ...style, minimumFractionDigits: places, maximumFractionDigits: places }).format(amount);
}

function duration(ms) {
  if (ms < 1000) return units.ms.format(ms);
  if (ms < 60000) return units.s.format(ms / 1000);
  const seconds = Math.round(ms / 1000);
  return `${units.min.format(Math.floor(seconds / 60))} ${units.rest.format(seconds % 60)}`;
}

const writers = { usd: dollars, count: (n) => whole.format(n), ms: duration, percent: (n) => share.format(n) + " %" };

export const written = (kind, number) => writers[kind](number);

// Short, for an axis: whole dollars, thousands and millions.
export function short(kind, number) {
  if (number === 0 && kind === "ms") return whole.format(0);
  if (kind === "count") return compact.format(number);
  if (kind === "usd" && Math.abs(number) >= 1000)
    return new Intl.NumberFormat(locale, { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", notation: "compact" }).format(number);
  if (kind === "usd" && Number.isInteger(number))
    return new Intl.NumberFormat(locale, { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", maximumFractionDigits: 0 }).format(number);
  return written(kind, number);
}

export function writeNumbers(within) {
  for (const data of within.querySelectorAll("data[data-kind]")) {
    const number = Number(data.value);
    if (data.dataset.kind in writers && Number.isFinite(number)) data.textContent = written(data.dataset.kind, number);
  }
}
