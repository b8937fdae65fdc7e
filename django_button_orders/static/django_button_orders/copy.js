"use strict";
// Add a button that copies a text to the clipboard. Without JavaScript or a clipboard,
// users can still select the text.
document.addEventListener("DOMContentLoaded", () => {
    if (!navigator.clipboard) {
        return;
    }
    for (const text of document.querySelectorAll("[data-button-order-copy]")) {
        const button = document.createElement("button");
        button.type = "button";
        button.className = "button";
        button.textContent = text.dataset.buttonOrderCopy;
        button.addEventListener("click", async () => {
            await navigator.clipboard.writeText(text.textContent);
            button.textContent = text.dataset.buttonOrderCopied;
        });
        // Screen readers announce the new label after a press.
        button.setAttribute("aria-live", "polite");
        text.before(button);
    }
});
