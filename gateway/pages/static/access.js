// The token for protected parts: kept for this tab, sent with each request for the status.

import { byId, setText } from './dom.js';

const KEY = 'token';

export function headers() {
  const token = sessionStorage.getItem(KEY);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

// Asks for a token while a part is protected, and names the scopes that show all parts.
export function showAccess({ protected: missing }) {
  byId('access').hidden = missing.length === 0;
  byId('main').hidden = byId('console').hidden = missing.includes('machines');
  if (missing.length) setText(byId('access-text'), question(scopesOf(missing)));
}

function scopesOf(missing) {
  const scopes = missing.map((name) => (name === 'bills' ? 'billing:read' : 'platform:read'));
  return [...new Set(scopes)].sort().reverse();
}

function question(scopes) {
  const needed = `the scope${scopes.length > 1 ? 's' : ''} ${scopes.join(' and ')}`;
  const where = 'API_TOKEN in .env has all scopes.';
  if (sessionStorage.getItem(KEY)) return `This token is invalid or lacks ${needed}. ${where}`;
  const what = scopes.includes('platform:read') ? 'The details need' : 'Bills need';
  return `${what} a token with ${needed}. ${where}`;
}

// Calls `changed()` when a person has entered a token.
export function listenToAccess(changed) {
  byId('access').addEventListener('submit', (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEY, byId('token').value);
    byId('token').value = '';
    changed();
  });
}
