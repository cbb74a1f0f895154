/* Sections as tabs. Without this script they stand one below another, each with its heading.

   Elements with the class "post-office-tab" that have one parent become the panels of one row of tabs. A
   tab is called what the panel's `data-tab` says, else its first heading. One with an error is shown first;
   else that of the address: #tab-headers shows the panel with the class or the id "tab-headers". */
"use strict";
{
    const PANEL = "post-office-tab";
    let number = 0;

    const nameOf = (panel) => panel.id
        || [...panel.classList].find((each) => each.startsWith("tab-"))
        || `tab-${number}`;

    function tabFor(panel) {
        number += 1;
        const heading = panel.querySelector("h2, h3");
        const tab = document.createElement("button");
        tab.type = "button";
        tab.role = "tab";
        tab.setAttribute("role", "tab");
        panel.id = nameOf(panel);
        tab.id = `${panel.id}-tab`;
        tab.textContent = panel.dataset.tab || (heading ? heading.textContent : panel.id);
        tab.setAttribute("aria-controls", panel.id);
        tab.classList.toggle("post-office-faulty", panel.querySelector(".errorlist") !== null);
        panel.setAttribute("role", "tabpanel");
        panel.setAttribute("aria-labelledby", tab.id);
        panel.classList.add("post-office-panel");
        return tab;
    }

    function build(parent) {
        const panels = [...parent.children].filter((child) => child.classList.contains(PANEL));
        if (panels.length < 2) {
            return;
        }
        const row = document.createElement("div");
        row.setAttribute("role", "tablist");
        row.className = "post-office-tabs";
        const tabs = panels.map(tabFor);
        row.append(...tabs);
        panels[0].before(row);

        function show(chosen) {
            tabs.forEach((tab, position) => {
                const isChosen = position === chosen;
                tab.setAttribute("aria-selected", String(isChosen));
                tab.tabIndex = isChosen ? 0 : -1;
                panels[position].hidden = !isChosen;
            });
        }

        function choose(chosen) {
            show(chosen);
            tabs[chosen].focus();
            history.replaceState(null, "", `#${panels[chosen].id}`);
        }

        tabs.forEach((tab, position) => {
            tab.addEventListener("click", () => choose(position));
            tab.addEventListener("keydown", (event) => {
                const forward = document.documentElement.dir === "rtl" ? "ArrowLeft" : "ArrowRight";
                const backward = forward === "ArrowRight" ? "ArrowLeft" : "ArrowRight";
                const goal = {
                    [forward]: (position + 1) % tabs.length,
                    [backward]: (position + tabs.length - 1) % tabs.length,
                    Home: 0,
                    End: tabs.length - 1,
                }[event.key];
                if (goal !== undefined) {
                    event.preventDefault();
                    choose(goal);
                }
            });
        });

        function followAddress() {
            const named = panels.findIndex((panel) => `#${panel.id}` === location.hash);
            if (named >= 0) {
                show(named);
            }
            return named >= 0;
        }

        const faulty = tabs.findIndex((tab) => tab.classList.contains("post-office-faulty"));
        show(Math.max(faulty, 0));
        if (faulty < 0) {
            followAddress();
        }
        window.addEventListener("hashchange", followAddress);
    }

    function start() {
        const parents = new Set([...document.getElementsByClassName(PANEL)].map((panel) => panel.parentElement));
        parents.forEach(build);
    }

    if (document.readyState === "loading") {
        document.addEventListener("DOMContentLoaded", start);
    } else {
        start();
    }
}
