// Keeps a secret that is on the page from being asked for twice, and copies it.
const secret = document.getElementById("secret");
if (secret) {
  // The page answered a form. Reloading it must fetch the list, not send the form again.
  history.replaceState(null, "", "/admin/tokens");
  document.getElementById("copy").addEventListener("click", () => navigator.clipboard.writeText(secret.textContent));
}
