// The token comes in the address behind `#`, which no server and no log ever sees, and is taken out of it at once. It lives as
// long as this tab.

const PLACE = "lbdev-token";

export function takeToken(): boolean {
  const said = location.hash.slice(1);
  if (!said) return false;
  sessionStorage.setItem(PLACE, said);
  history.replaceState(null, "", location.pathname);
  return true;
}

export function token(): string | null {
  return sessionStorage.getItem(PLACE);
}
