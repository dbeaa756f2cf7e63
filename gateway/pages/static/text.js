// Numbers and times formatted for people; null is unknown.

export const UNKNOWN = 'unknown';
const WHOLE = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const MONEY = new Intl.NumberFormat('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const CLOCK = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

const known = (value, format) => (value === null || value === undefined ? UNKNOWN : format(value));

export const count = (value) => known(value, (number) => WHOLE.format(number));
export const money = (value) => known(value, (number) => MONEY.format(number));
export const rate = (value) =>
  known(value, (number) => (number < 10 ? number.toFixed(1) : WHOLE.format(number)));
export const percent = (value) => known(value, (share) => `${(share * 100).toFixed(1)} %`);
export const milliseconds = (value) =>
  known(value, (number) => `${number < 10 ? number.toFixed(1) : WHOLE.format(number)} ms`);
export const clock = (date) => CLOCK.format(date);

export function duration(seconds) {
  return known(seconds, (value) => {
    if (value < 10) return `${value.toFixed(1)} s`;
    if (value < 120) return `${Math.floor(value)} s`;
    return value < 7200 ? `${Math.floor(value / 60)} min` : `${Math.floor(value / 3600)} h`;
  });
}

export function moment(text) {
  const date = new Date(text);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? clock(date) : `${DAY.format(date)}, ${clock(date)}`;
}

export function list(names, most = 3) {
  const rest = names.length - most;
  if (rest > 1) return `${names.slice(0, most).join(', ')} and ${rest} more`;
  return names.length > 1 ? `${names.slice(0, -1).join(', ')} and ${names.at(-1)}` : names.join('');
}
