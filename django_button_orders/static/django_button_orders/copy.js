"use strict";
// A button that copies what is to be pasted somewhere. Without scripts, or where
// the browser has no clipboard to write to, the text can be selected by hand.
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
        // A screen reader says it when the label changes.
        button.setAttribute("aria-live", "polite");
        text.before(button);
    }
});
