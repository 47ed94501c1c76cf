// The token goes into a header, never into the address; the answer sets a cookie that no script reads.
const form = document.getElementById("login");
const said = document.getElementById("said");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = document.getElementById("token").value.trim();
  try {
    const answer = await fetch("/login", {
      headers: { Authorization: `Bearer ${token}` },
      credentials: "same-origin",
    });
    if (answer.ok) {
      location.reload();
    } else {
      said.textContent = "This is not the token.";
    }
  } catch {
    said.textContent = "Wharfinger does not answer.";
  }
});
