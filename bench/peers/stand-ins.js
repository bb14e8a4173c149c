// Plain workerd has no rate limiting binding: this one stands in for it, as a wrapped binding. It refuses nothing.

export const limiter = () => ({ limit: async () => ({ success: true }) });
