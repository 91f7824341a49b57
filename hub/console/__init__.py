"""The operators' page, over the same overview as the API.

`app` composes API and pages into one application   `pages` the page, its regions and their live updates
`plot` bars as numbers   `words` texts in both languages   `cli` `alliance console`
"""
