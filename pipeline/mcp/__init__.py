"""The MCP server: tools for agents that read, plan and commit. Nothing of it is imported unless it is switched on."""
